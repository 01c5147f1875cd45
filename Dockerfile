# One image for every role: trading-backend, trading-engine, trading-shard (PostgreSQL under Patroni),
# trading-redis, trading-operator, tradingctl.
#   docker build -t tradingcluster:0.1.0 .
#   docker run tradingcluster:0.1.0 trading-engine run
# BASE_IMAGE: any Debian 13.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    ca-certificates g++ libssl-dev python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/trading
WORKDIR /source
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY crds crds
COPY engine engine
COPY backend backend
COPY operator operator
# Bytecode is made here, as no process of the image writes any: without it each start costs three times the
# processor time.
RUN /opt/trading/bin/pip install --no-cache-dir --no-compile . "patroni[kubernetes,psycopg3]==4.1.5" \
 && /opt/trading/bin/pip uninstall -y pip \
 && find /opt/trading -name __pycache__ -prune -exec rm -rf {} + \
 && find /opt/trading -name tests -type d -prune -exec rm -rf {} + \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/trading/lib

FROM ${BASE_IMAGE} AS roles
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    ca-certificates libssl3t64 libstdc++6 python3 postgresql-17 redis-server redis-tools \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/lib/postgresql /etc/postgresql /usr/share/doc /usr/share/locale \
    /var/cache/apt /var/cache/debconf /usr/share/man \
    /usr/lib/postgresql/17/lib/llvmjit* /usr/lib/postgresql/17/lib/bitcode /usr/lib/*/libLLVM* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /tmp trading
COPY --from=build /opt/trading /opt/trading
USER 10001:10001
ENV PATH=/opt/trading/bin:/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
CMD ["tradingctl", "--help"]
