# One image for every role: trading-backend, trading-engine, trading-shard (PostgreSQL under Patroni),
# trading-redis, trading-operator, tradingctl.
#   docker build -t tradingcluster:0.1.0 .
#   docker run tradingcluster:0.1.0 trading-engine run
# BASE_IMAGE: any Debian 13.
ARG BASE_IMAGE=debian:trixie-slim

# What others made. It is made anew only when pyproject.toml changes, as are the extensions only with the C++.
FROM ${BASE_IMAGE} AS dependencies
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    ca-certificates g++ libssl-dev python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /opt/trading && python3 -m venv /opt/builder
WORKDIR /source
COPY pyproject.toml ./
# Bytecode is made here, as no process of the image writes any: without it each start costs three times the
# processor time.
RUN python3 -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
    print(*p["build-system"]["requires"], "cmake>=3.25", "ninja", sep="\n", file=open("build.txt", "w")); \
    print(*p["project"]["dependencies"], sep="\n", file=open("run.txt", "w"))' \
 && /opt/builder/bin/pip install --no-cache-dir -r build.txt \
 && /opt/builder/bin/pip --python /opt/trading/bin/python install --no-cache-dir --no-compile \
    -r run.txt "patroni[kubernetes,psycopg3]==4.1.5" \
 && find /opt/trading -name tests -type d -prune -exec rm -rf {} + \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/trading/lib

FROM dependencies AS build
COPY CMakeLists.txt ./
COPY engine/CMakeLists.txt engine/
COPY engine/wire engine/wire
COPY engine/core engine/core
COPY engine/sequencer engine/sequencer
COPY engine/bindings engine/bindings
COPY backend/native backend/native
# A wheel of the extensions alone, for what it leaves in the folder of the build.
RUN mkdir -p crds/trading_contract engine/trading_engine backend/trading_backend operator/trading_operator \
 && touch README.md \
 && PATH=/opt/builder/bin:$PATH /opt/builder/bin/pip wheel --no-deps --no-build-isolation \
    -C build-dir=/build -w /wheels . \
 && rm -r /wheels
COPY README.md LICENSE ./
COPY crds/trading_contract crds/trading_contract
COPY engine/trading_engine engine/trading_engine
COPY backend/trading_backend backend/trading_backend
COPY operator/trading_operator operator/trading_operator
RUN PATH=/opt/builder/bin:$PATH /opt/builder/bin/pip wheel --no-deps --no-build-isolation \
    -C build-dir=/build -w /wheels . \
 && /opt/builder/bin/pip --python /opt/trading/bin/python install --no-deps --no-compile \
    --prefix /opt/ours /wheels/*.whl \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/ours/lib

FROM ${BASE_IMAGE} AS roles
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    ca-certificates libssl3t64 libstdc++6 python3 postgresql-17 redis-server redis-tools \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/lib/postgresql /etc/postgresql /usr/share/doc /usr/share/locale \
    /var/cache/apt /var/cache/debconf /usr/share/man \
    /usr/lib/postgresql/17/lib/llvmjit* /usr/lib/postgresql/17/lib/bitcode /usr/lib/*/libLLVM* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /tmp trading
COPY --from=dependencies /opt/trading /opt/trading
COPY --from=build /opt/ours /opt/trading
USER 10001:10001
ENV PATH=/opt/trading/bin:/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
CMD ["tradingctl", "--help"]
