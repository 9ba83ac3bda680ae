# Needs a builder that has the base image; the same base in both stages, so that the environment's paths stay true.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
COPY requirements/run.txt /build/run.txt
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --require-hashes -r /build/run.txt
COPY webhook/ /app/webhook/
COPY certs/ /app/certs/
# Compiled here, because the root file system is read-only later: without bytecode a start takes 2 s and 80 MiB more.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="eem-guardrail" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
EXPOSE 8443 8080
ENTRYPOINT ["python", "-m", "webhook"]
CMD ["serve"]
