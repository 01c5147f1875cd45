# One image for our own roles: trading-backend, trading-engine, trading-operator, tradingctl.
# PostgreSQL, Redis and the load balancer come from images of their own.
#   docker build -t tradingcluster:0.1.0 .
#   docker run tradingcluster:0.1.0 trading-engine run

FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ libssl-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY crds crds
COPY engine engine
COPY backend backend
COPY operator operator
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.11-slim-bookworm AS roles
RUN apt-get update \
 && apt-get install -y --no-install-recommends libssl3 libstdc++6 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home trading
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels tradingcluster && rm -rf /wheels
USER 10001
ENV PYTHONUNBUFFERED=1
CMD ["tradingctl", "--help"]
