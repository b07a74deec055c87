# The words a newcomer needs. All of them set up .venv first when that was not done.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := log/demo
PROCESSES := --numprocesses auto --maxprocesses 8 --dist worksteal
PYTEST := OMP_WAIT_POLICY=passive $(BIN)/pytest $(PROCESSES)

# Tests and demo start many processes, which need not compile the modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-slow coverage check format docs gallery package clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

test: setup
	$(PYTEST) -m "not slow"

test-slow: setup
	$(PYTEST) -m slow

coverage: setup  # of vesuv/ by all tests, the slow ones too; takes twice their time
	OMP_WAIT_POLICY=passive $(BIN)/coverage run -m pytest $(PROCESSES)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Pages: site/index.html"

gallery: setup  # draw the pictures of docs/gallery/*.py anew that are older than their script
	$(BIN)/python -m docs.gallery

package: setup  # sdist, the wheel made of it, and its use in an empty environment
	rm -rf dist
	mkdir dist
	$(BIN)/python -c "from setuptools.build_meta import build_sdist; build_sdist('dist')" >/dev/null
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist dist/vesuv-*.tar.gz
	PYTHON=$(PYTHON) .ci/package dist/vesuv-*.whl
	@ls dist/*.whl dist/*.tar.gz

demo: setup
	$(BIN)/python bin/phantom.py --output $(DEMO)/data --overwrite
	$(BIN)/python bin/train.py --config configs/demo.yaml --fold 0 --overwrite
	$(BIN)/python bin/validate_distribution.py --run $(DEMO)/fold_0
	$(BIN)/python bin/predict.py --run $(DEMO)/fold_0 --input $(DEMO)/data/test_images --output $(DEMO)/predictions --overwrite
	$(BIN)/python bin/evaluate.py --predictions $(DEMO)/predictions --labels $(DEMO)/data/test_labels --images $(DEMO)/data/test_images --output $(DEMO)/scores --require-dice 0.90
	@echo "Run:          $(DEMO)/fold_0 (train.log, metrics.csv, checkpoints/, distribution/)"
	@echo "Page:         $(DEMO)/fold_0/report.html"
	@echo "Prediction:   $(DEMO)/predictions"
	@echo "Picture:      $(DEMO)/scores/pictures (image | label | prediction)"
	@echo "Curves:       $(BIN)/tensorboard --logdir log"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
