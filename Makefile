PYTHON ?= python3
OLDEST_PYTHON ?= python3.11
VENV := .venv
OLDEST := .venv-oldest
# Two processes, a file in one of them: much of a test is one core waiting for Python.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-oldest docs browser format clean

demo: $(VENV)/installed
	$(VENV)/bin/doggan demo

test: $(VENV)/installed browser
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest $(PARALLEL)

test-slow: $(VENV)/installed
	$(VENV)/bin/pytest -m slow

test-oldest: $(OLDEST)/installed
	$(OLDEST)/bin/pytest $(PARALLEL)

docs: $(VENV)/installed
	$(VENV)/bin/python docs/build_api.py build/docs

# What pages are tested in. Where CI is set, Debian's Chromium is installed; at home take yours, or those tests are skipped.
browser:
	@if [ -n "$(CI)" ] && ! which chromium chromium-browser google-chrome | grep -q .; then \
		(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) \
			>/dev/null 2>&1 || echo "Chromium could not be installed; tests that need a browser are skipped"; \
	fi

format: $(VENV)/installed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -e '.[test,jax]'
	touch $@

# The oldest stack a Kaggle image still carries; TensorFlow backend only.
$(OLDEST)/installed: setup.cfg pyproject.toml tests/oldest.txt
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install -q -e '.[test]' -c tests/oldest.txt
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST)
