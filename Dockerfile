# One build, one target an image: component, predictor, monitor, trigger. Each carries its own packages only.
#
#     docker build --target predictor --tag loopwright/predictor:0.1.0 .        (all of them: make images)
#
# Versions are those of uv.lock. Every image runs as user 65532 on a read-only root file system; what a process writes
# goes to /tmp and to the folders that are mounted for it.
ARG BASE=python:3.11-slim

# --- what the final images are made from; nothing of it but /opt/loopwright stays --------------------------------------
FROM ${BASE} AS tools
ARG UV_VERSION=0.13.8
RUN python -m pip install --no-cache-dir --disable-pip-version-check uv==${UV_VERSION}
# The base image's Python and certificates are used. Bytecode is compiled here: at run time nothing can be written.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/loopwright \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY pyproject.toml uv.lock ./

# In each: the locked packages first, so that a change of our own code does not install them again.
# A component's pod starts by KFP's executor, which its definition does not install (install_kfp_package=False).
FROM tools AS build-component
# Dask is 15 MB: the workers of `scale: dask` are this image, too (docs/scale.md).
# `--extra predictor` lets gates measure latency in the real server (docs/gates.md).
ARG COMPONENT_EXTRAS=""
RUN uv sync --frozen --no-dev --no-install-project --extra component --extra dask --extra kfp ${COMPONENT_EXTRAS}
COPY README.md LICENSE ./
COPY pipelines pipelines
COPY src src
RUN uv sync --frozen --no-dev --no-editable --extra component --extra dask --extra kfp ${COMPONENT_EXTRAS}

FROM tools AS build-predictor
RUN uv sync --frozen --no-dev --no-install-project --extra predictor
COPY README.md LICENSE ./
COPY pipelines pipelines
COPY src src
RUN uv sync --frozen --no-dev --no-editable --extra predictor

# The monitor rides beside every replica: the ledger's SQLAlchemy and what the command line draws its tables with, 24 MB,
# are never opened there (tests/unit/monitor/test_size.py).
FROM tools AS build-monitor
ARG UNUSED="--no-install-package sqlalchemy --no-install-package rich --no-install-package pygments --no-install-package markdown-it-py --no-install-package mdurl"
RUN uv sync --frozen --no-dev --no-install-project ${UNUSED} --extra monitor
COPY README.md LICENSE ./
COPY pipelines pipelines
COPY src src
RUN uv sync --frozen --no-dev --no-editable ${UNUSED} --extra monitor

# The trigger runs the pipeline by itself, in its own pod, so it carries the steps' packages and KFP's runner too. The
# same image runs rollouts as Argo Workflows, which talk to the cluster's API.
FROM tools AS build-trigger
RUN uv sync --frozen --no-dev --no-install-project --extra trigger --extra component --extra dask --extra kfp --extra kubernetes --extra reports
COPY README.md LICENSE ./
COPY pipelines pipelines
COPY src src
RUN uv sync --frozen --no-dev --no-editable --extra trigger --extra component --extra dask --extra kfp --extra kubernetes --extra reports

# --- the final images ------------------------------------------------------------------------------------------------
FROM ${BASE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Loopwright" \
      org.opencontainers.image.description="Closed-loop machine learning on Kubeflow Pipelines and KServe" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 65532 loopwright \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin loopwright
ENV HOME=/tmp \
    PATH=/opt/loopwright/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532

# LightGBM's wheel needs the system's OpenMP.
FROM runtime AS runtime-openmp
USER 0
RUN apt-get update -qq \
    && apt-get install -qq --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
USER 65532:65532

FROM runtime-openmp AS component
COPY --from=build-component /opt/loopwright /opt/loopwright
CMD ["python"]

FROM runtime-openmp AS predictor
COPY --from=build-predictor /opt/loopwright /opt/loopwright
EXPOSE 8080 8081
ENTRYPOINT ["python", "-m", "loopwright.serving"]

FROM runtime AS monitor
COPY --from=build-monitor /opt/loopwright /opt/loopwright
EXPOSE 9090
ENTRYPOINT ["python", "-m", "loopwright.monitor"]

FROM runtime-openmp AS trigger
COPY --from=build-trigger /opt/loopwright /opt/loopwright
EXPOSE 8080
ENTRYPOINT ["python", "-m", "loopwright.cli.trigger_service"]
