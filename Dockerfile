# One image for all steps. Build: docker build -t REGISTRY/tiphys .
FROM python:3.11-slim
WORKDIR /opt/tiphys
COPY requirements-steps.txt .
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements-steps.txt
COPY pyproject.toml .
COPY clients clients
COPY steps steps
RUN python -m compileall -q clients steps
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/opt/tiphys
USER 1000:1000
