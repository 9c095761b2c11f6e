# Every target makes the virtual environment that it needs; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

N ?= 200

# What tests/browser drives, by the names that distributions have for it.
CHROMIUM ?= $(firstword $(foreach name,chromium chromium-headless-shell chromium-browser google-chrome,\
  $(shell command -v $(name))))
PAGE := elasticdl_like/window/page

.PHONY: help train test test-browser test-kubernetes chaos lint format bench proto docs page clean

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(INSTALLED): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[tensorflow-cpu,dev]'
	@touch $@

train: $(INSTALLED)  ## make the digits data, train on it, print accuracy and ledger
	$(BIN)/python model_zoo/digits/make_data.py data/digits
	$(BIN)/elasticdl train --model_zoo model_zoo --model_def digits.digits_cnn.custom_model \
	  --training_data data/digits/train --validation_data data/digits/validation \
	  --num_epochs 10 --minibatch_size 64 --num_minibatches_per_task 4 \
	  --job_name digits --job_dir jobs/digits --output jobs/digits/model --overwrite

test: $(INSTALLED)  ## run the tests
	$(BIN)/python -m pytest

test-browser: $(INSTALLED)  ## run the tests of the status page in Chromium
	@test -n "$(CHROMIUM)" || { echo "there is no Chromium: apt-get install chromium, or set CHROMIUM"; exit 1; }
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest -m browser tests/browser

# The cluster has to have an image of this very code, elasticdl:test (docs/kubernetes.md).
test-kubernetes: $(INSTALLED)  ## run the tests of Kubernetes in the cluster that KUBECONFIG names
	$(BIN)/python -m pytest -m kubernetes tests/kubernetes

chaos: $(INSTALLED)  ## run N=200 jobs under faults, or the one of SEED=17 (docs/faults.md)
	PYTHONPATH=tests $(BIN)/python -m faults.chaos $(if $(SEED),--seed $(SEED),--number $(N))

lint: $(INSTALLED)  ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/generate.py --check

format: $(INSTALLED)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## measure speed, write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run_all.py

proto: $(INSTALLED)  ## generate the code of elasticdl.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. \
	  elasticdl_like/proto/elasticdl.proto

docs: $(INSTALLED)  ## generate the generated parts of docs/
	$(BIN)/python docs/generate.py

page:  ## bundle the status page into elasticdl_like/window/page.html (needs npm)
	cd $(PAGE) && npm ci --no-audit --no-fund && npm run --silent build

clean:  ## remove what the other targets made
	rm -rf $(PAGE)/node_modules tests/browser/screenshots
	rm -rf $(VENV) data jobs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
