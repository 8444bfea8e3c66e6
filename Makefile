# Two commands do everything: `make run` opens the demo, `make test` runs the tests. Both set up what they need.
PYTHON ?= python3
VENV := .venv

.PHONY: help run test check lint screenshots bench fuzz sample install uninstall install-helper uninstall-helper wheel clean

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: ## Set up, record the demo target and show its flame graph (offscreen where there is no display)
	@$(PYTHON) scripts/bootstrap.py run
	@$(VENV)/bin/python scripts/run_demo.py

test: ## Set up and run all tests
	@$(PYTHON) scripts/bootstrap.py test
	@$(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(PYTEST_ARGS) \
		tests/core tests/packaging tests/gui; \
	spread=$$?; $(VENV)/bin/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS) -m beside tests/e2e; \
	beside=$$?; $(VENV)/bin/python -m pytest $(PYTEST_ARGS) -m "not beside" tests/e2e && exit $$((spread | beside))

lint: ## ruff, mypy --strict and the import contracts
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

check: test lint ## What CI does

screenshots: ## Every page and state, light and dark, at 1280x800 and at 2x, into docs/screenshots
	@$(PYTHON) scripts/bootstrap.py test
	@$(VENV)/bin/python scripts/screenshots.py

bench: ## The figures of the README
	@$(PYTHON) scripts/bootstrap.py test
	@for b in benchmarks/*.py; do echo "== $$b"; $(VENV)/bin/python $$b || exit 1; done

fuzz: ## Each parser under a fuzzer for ten minutes (FUZZ_ARGS="--seconds 60 --only folded"); figures in fuzz/RESULTS.md
	@$(PYTHON) scripts/bootstrap.py test
	@$(VENV)/bin/pip install --quiet --editable '.[fuzz]'
	@$(VENV)/bin/python fuzz/run.py $(FUZZ_ARGS)

sample: ## Record the sample session that ships in resources/ anew
	@$(PYTHON) scripts/bootstrap.py run
	@$(VENV)/bin/python scripts/record_sample.py

install: ## Put the application, its icon and its file types in place for the current user
	@$(PYTHON) scripts/bootstrap.py system
	@$(PYTHON) packaging/install.py install

uninstall: ## Take away what `make install` put in place
	@$(PYTHON) packaging/install.py uninstall

install-helper: ## As root: put the helper in place that looks into programs with the user's own consent (polkit)
	@/usr/bin/python3 packaging/install.py install-helper

uninstall-helper: ## As root: take the helper away
	@/usr/bin/python3 packaging/install.py uninstall-helper

wheel: ## Build the wheel into dist/
	@$(PYTHON) scripts/bootstrap.py run
	$(VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## Remove what was built
	rm -rf $(VENV) .tools dist resources/demo/trading-system/target
