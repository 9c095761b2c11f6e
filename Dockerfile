# One image for master and workers: docker build -t elasticdl .
FROM python:3.11-slim

# What changes seldom comes first, so that a change of code does not install TensorFlow again.
COPY constraints.txt /opt/elasticdl/
RUN pip install --no-cache-dir --constraint /opt/elasticdl/constraints.txt tensorflow-cpu keras

COPY pyproject.toml setup.py README.md LICENSE /opt/elasticdl/
COPY elasticdl_like /opt/elasticdl/elasticdl_like
RUN pip install --no-cache-dir --constraint /opt/elasticdl/constraints.txt '/opt/elasticdl[kubernetes]'

USER 1000:1000
WORKDIR /work
ENTRYPOINT ["elasticdl"]
