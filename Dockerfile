# One image for master and workers: docker build --tag elasticdl:1 .
# For GPUs add --build-arg TENSORFLOW='tensorflow[and-cuda]'; for data in other places, such as tables
# of MaxCompute or S3, --build-arg EXTRAS=arrow,kubernetes,odps,s3 (the extras of pyproject.toml).
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
FROM ${PYTHON_IMAGE}

# What changes seldom comes first, so that a change of code does not install TensorFlow again. Its
# headers, a sixth of it, are for those who compile operations of their own.
ARG TENSORFLOW=tensorflow-cpu
COPY constraints.txt /opt/elasticdl/
RUN pip install --no-cache-dir --root-user-action ignore --constraint /opt/elasticdl/constraints.txt \
      "${TENSORFLOW}" keras setuptools \
    && rm -r "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tensorflow/include"

# The other dependencies, of a package without its code.
ARG EXTRAS=arrow,kubernetes
COPY pyproject.toml setup.py README.md LICENSE /opt/elasticdl/
RUN mkdir /opt/elasticdl/elasticdl_like \
    && echo '__version__ = "0"' > /opt/elasticdl/elasticdl_like/__init__.py \
    && pip install --no-cache-dir --root-user-action ignore --no-build-isolation \
      --constraint /opt/elasticdl/constraints.txt "/opt/elasticdl[${EXTRAS}]"
COPY elasticdl_like /opt/elasticdl/elasticdl_like
RUN pip install --no-cache-dir --root-user-action ignore --no-build-isolation --no-deps /opt/elasticdl

USER 1000:1000
WORKDIR /work
ENTRYPOINT ["elasticdl"]
