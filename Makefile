# Every target installs what it needs into .venv first; PYTHON=… chooses the interpreter (3.11+).
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
DATA ?=
# Tests mostly wait, for brokers and workers: more processes than cores pay. 0: all in this one.
PROCESSES ?= 5

.DEFAULT_GOAL := help
.PHONY: help demo quick test packages golden properties faults faults-quick soak bench bench-quick bench-peers bench-signal compare docs lint format kafka clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.base ## Watch a model go wrong: an embedded broker, a worker, a model server (no Docker needed; ARGS=--stay keeps its page open; it leaves a report in build/)
	@$(BIN)/driftline demo --report build/demo-report.html $(ARGS)

quick: lint ## The checks for in between: lint and unit tests, no broker, in at most two minutes
	@$(BIN)/pytest -q -n $(PROCESSES) tests/unit streams driftline $(ARGS)

test: .venv/.dev ## Run the whole test suite, on a real Kafka where there is one (ARGS=… for pytest, PROCESSES=…)
	@$(BIN)/pytest -n $(PROCESSES) --durations=15 $(ARGS)
	@echo "Left out, since they take minutes: make packages, make golden, make properties, make test ARGS='-m long'"

packages: .venv/.dev ## Build both wheels, and install them in empty environments; 5 minutes
	@$(BIN)/pytest -q -m long tests/e2e/test_packages.py $(ARGS)

golden: .venv/.dev ## Compare what is published with recorded results in every way, and of a million events; 5 minutes
	@$(BIN)/pytest -q -n $(PROCESSES) -m 'long or not long' tests/unit/test_golden.py $(ARGS)

properties: .venv/.dev ## Try the properties with all of their examples, of which make test tries a twelfth; 30 minutes
	@DRIFTLINE_EXAMPLES=all $(BIN)/pytest -q -n $(PROCESSES) tests/unit $(ARGS)

faults-quick: .venv/.dev ## Harm workers and real Kafkas, and compare every number, for about 7 minutes
	@$(BIN)/python -m tests.faults.run --quick $(ARGS)

faults: .venv/.dev ## The same with every scenario, and random ones with 4 seeds; takes an hour and a half
	@$(BIN)/python -m tests.faults.run --seeds 4 $(ARGS)

soak: .venv/.dev ## 20,000 events/s on a real Kafka for 20 minutes: does anything grow?
	@$(BIN)/python -m tests.faults.soak $(ARGS)

bench-quick: .venv/.base ## What an event costs on a real Kafka, in CPU microseconds, in 3 minutes
	@$(BIN)/python -m benchmarks.quick $(ARGS)

bench: .venv/.base ## The whole ladder of benchmarks, into benchmarks/RESULTS.md; takes hours (ARGS=--list)
	@$(BIN)/python -m benchmarks.run $(ARGS)

bench-peers: .venv/.dev ## The same job on Kafka Streams, Flink and others, beside driftline; takes hours (ARGS=--help)
	@$(BIN)/python -m benchmarks.peers.run $(ARGS)

bench-signal: .venv/.dev ## False alarms and delays of the default monitors on made streams; takes hours (ARGS=--quick: 10 minutes)
	@$(BIN)/python -m benchmarks.signal.run $(ARGS)

compare: .venv/.dev ## Metrics of real data beside scikit-learn's, Evidently's and NannyML's, into docs/comparison.md; a minute, the first time four
	@$(BIN)/python -m benchmarks.compare.run $(ARGS)

docs: .venv/.dev ## Write the generated tables of docs/ and the dashboards of Grafana, and build the pages into build/docs
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m deploy.grafana.generate
	@$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo "build/docs/index.html"

lint: .venv/.dev ## Check format, lint, types, import directions, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	@if command -v promtool >/dev/null; then promtool check rules deploy/prometheus/alerts.yml; \
	else echo "promtool is not installed: deploy/prometheus/alerts.yml was not checked"; fi

format: .venv/.dev ## Rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

kafka: .venv/.base ## Run a real Kafka on 127.0.0.1:9092 in the foreground, which forgets everything when it stops; DATA=DIR keeps it (needs Java and Maven)
	@$(BIN)/python -m agents.local_kafka --port 9092 $(if $(DATA),--data '$(DATA)')

clean: ## Delete .venv, caches and build outputs
	rm -rf .venv dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip says one line per package; on a terminal they are shown as one moving line.
define install
	@echo "Installing $(2) into .venv; the first time this may take a minute."
	@$(BIN)/python -m pip install --disable-pip-version-check \
	  --editable '$(1)' >.venv/pip.out & pip=$$!; seconds=0; \
	while kill -0 $$pip 2>/dev/null; do sleep 1; seconds=$$((seconds + 1)); \
	  if [ -t 1 ]; then printf '\r\033[K  %3d s  %.60s' $$seconds "$$(tail -n 1 .venv/pip.out)"; fi; \
	done; if [ -t 1 ]; then printf '\r\033[K'; fi; \
	wait $$pip || { echo "The installation failed; .venv/pip.out has the details." >&2; exit 1; }
endef

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; \
	  sys.exit(None if sys.version_info >= (3, 11) else \
	  f"driftline needs Python 3.11 or later, and $(PYTHON) is {v}: try make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv

COMPILED := hatch_build.py streams/columns.c streams/xxh3.h streams/columns/kernels.c agents/fetching.c

.venv/.base: pyproject.toml $(COMPILED) | .venv/bin/python
	$(call install,.[web],driftline)
	@touch $@

.venv/.dev: pyproject.toml $(COMPILED) | .venv/bin/python
	$(call install,.[dev],driftline and the tools for its tests)
	@touch .venv/.base $@
