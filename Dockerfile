# The service and its models; neither torch nor training code. For a GPU, unless --build-arg ACCELERATOR=cpu.
ARG ACCELERATOR=gpu

FROM python:3.13-slim AS build
ARG ACCELERATOR
# More of the project's extras, by their names: tracing
ARG EXTRAS=""
RUN case "$ACCELERATOR" in \
    gpu | cpu) ;; \
    *) echo "ACCELERATOR is '$ACCELERATOR'; it must be gpu or cpu" >&2; exit 1 ;; \
    esac
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# The dependencies alone, as the project's metadata names them: the code itself needs no building.
RUN python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *(need for name in '$ACCELERATOR $EXTRAS'.split() for need in extras[name]), sep='\n')" > requirements.txt \
    && python -m venv --without-pip /opt/matcaps \
    && python -m pip --python /opt/matcaps/bin/python install --disable-pip-version-check --no-cache-dir --quiet \
        --only-binary :all: --constraint constraints.txt --requirement requirements.txt

FROM python:3.13-slim AS service
LABEL org.opencontainers.image.title="matcaps" \
      org.opencontainers.image.description="Matrix capsules with EM routing, served over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 matcaps && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin matcaps
COPY --from=build /opt/matcaps /opt/matcaps
WORKDIR /app
COPY LICENSE ./
COPY matcaps/*.py matcaps/
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
# No proxy, whatever the environment says: the question stays inside the container. Not ready is a 503, which raises.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request as http; \
http.build_opener(http.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ['MATCAPS_PORT']}/health/ready\", timeout=4)"]
ENTRYPOINT ["python", "-m", "matcaps", "serve"]

FROM service AS service-on-cpu
ENV MATCAPS_DEVICE=cpu

# The CUDA libraries come with the wheels; the driver (580 or later) comes from the host.
FROM service AS service-on-gpu
ENV MATCAPS_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# The default once more: older builders look for the stage before they have read the argument's own.
FROM service-on-${ACCELERATOR:-gpu}
