# The service, matcaps predict and the models, without torch and training code. For a GPU, or with --build-arg ACCELERATOR=cpu for a CPU.
# Two builds hold the same packages: the base image is a full version, and requirements/ names versions and hashes.
ARG ACCELERATOR=gpu

FROM python:3.13.16-slim-trixie AS build
ARG ACCELERATOR
# Other extras of the project with a lock in requirements/: tracing
ARG EXTRAS=""
RUN case "$ACCELERATOR" in \
    gpu | cpu) ;; \
    *) echo "ACCELERATOR is '$ACCELERATOR'; it must be gpu or cpu" >&2; exit 1 ;; \
    esac
WORKDIR /build
COPY requirements/serve-*.txt ./
RUN set --; \
    for name in $ACCELERATOR $EXTRAS; do set -- "$@" --requirement "serve-$name.txt"; done; \
    python -m venv --without-pip /opt/matcaps \
    && python -m pip --python /opt/matcaps/bin/python install --disable-pip-version-check --no-cache-dir --quiet \
        --only-binary :all: --require-hashes "$@"

# The routing kernel for a CPU, in three widths of vectors. The library of OpenMP lies beside it, so that the image needs
# no compiler.
FROM build AS kernels
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends g++ >/dev/null
COPY matcaps/__init__.py matcaps/
COPY kernels/ matcaps/kernels/
RUN CXXFLAGS='-Wl,-rpath,$ORIGIN' /opt/matcaps/bin/python -m matcaps.kernels \
    && cp -L "$(g++ -print-file-name=libgomp.so.1)" matcaps/kernels/compiled/

FROM python:3.13.16-slim-trixie AS service
LABEL org.opencontainers.image.title="matcaps" \
      org.opencontainers.image.description="Matrix capsules with EM routing, served over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 matcaps && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin matcaps
COPY --from=build /opt/matcaps /opt/matcaps
WORKDIR /app
COPY LICENSE ./
COPY matcaps/*.py matcaps/
COPY matcaps/predict/ matcaps/predict/
COPY client/ matcaps/client/
COPY images/ matcaps/images/
COPY --from=kernels /build/matcaps/kernels/ matcaps/kernels/
COPY service/ matcaps/service/
COPY model_repository/ model_repository/
ENV PATH="/opt/matcaps/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MATCAPS_HOST=0.0.0.0 \
    MATCAPS_PORT=8000 \
    MATCAPS_MODELS=/app/model_repository
USER 10001:10001
EXPOSE 8000
# Without a proxy, since the request stays inside the container. Not ready is a 503, which raises an error. Where the
# service ignores MATCAPS_PORT (empty, or the address that a Docker link sets), it listens at 8000.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request as http; \
port = os.environ.get('MATCAPS_PORT', '').strip(); \
http.build_opener(http.ProxyHandler({})).open(f\"http://127.0.0.1:{port if port.isdigit() else 8000}/health/ready\", timeout=4)"]
ENTRYPOINT ["python", "-m", "matcaps", "serve"]

FROM service AS service-on-cpu
ENV MATCAPS_DEVICE=cpu

# The CUDA libraries come with the wheels; the driver (580 or later) comes from the host.
FROM service AS service-on-gpu
ENV MATCAPS_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# The default is repeated: older builders look for the stage before they read the default of the argument.
FROM service-on-${ACCELERATOR:-gpu}
