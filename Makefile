# One command for each thing people do here: `make` lists them. Python 3.11 and make are enough.
#
#   make test ARGS="-k name"        options for the program behind test, tour and lab
#   make lab PYTHON=python3.13      the interpreter for .venv
#   make notebooks NOTEBOOKS=notebooks/s01_naive.ipynb
#
# Paths are relative and programs are called as `python -m`: make cannot have spaces in the name of a target,
# and a script in .venv/bin starts with the path of its interpreter, where spaces break it too.

RUN       := .venv/bin/python -m
NOTEBOOKS := notebooks/*.ipynb
# Seconds. A notebook takes under a minute as a whole; nbval alone would wait 2000 for a cell that hangs.
CELL_TIMEOUT := 60

.PHONY: help tour lab test test-all check notebooks format constraints clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

tour: .venv/ready ## run every probe on every stage and show the staircase
	@$(RUN) stages tour $(ARGS)
	@[ -n "$$VIRTUAL_ENV" ] || echo 'Once in each terminal, before a command with python:  . .venv/bin/activate'

# The file browser starts at notebooks/ but can go up: the exercises are edited in work/, beside it.
lab: .venv/ready ## open the notebooks in JupyterLab
	@PATH="$$(pwd)/.venv/bin:$$PATH" $(RUN) jupyterlab --ServerApp.root_dir=. --FileContentsManager.preferred_dir=notebooks $(ARGS)

# --nbval compares every output that is not marked; --nbval-current-env takes the kernel of .venv, whichever one
# the notebook was saved with.
TEST := $(RUN) pytest --nbval --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT)

# First what waits, two at a time; then what measures, alone. tests/conftest.py says which is which. A half in which ARGS
# leave nothing ends with 5.
HALVES = \
	echo 'First half: what waits for processes and deadlines, two tests at a time.'; \
	STAGES_TESTS=waiting $(TEST) -n 2 --dist loadfile --ignore=notebooks $(1) $(ARGS); waiting=$$?; \
	case $$waiting in 0|1|5) ;; *) exit $$waiting;; esac; \
	echo 'Second half: what measures servers, and the notebooks, one after the other.'; \
	STAGES_TESTS=measuring $(TEST) $(1) $(ARGS); measuring=$$?; \
	case $$waiting$$measuring in 00|05|50) ;; *) exit 1;; esac

test: .venv/ready ## run the tests and compare every notebook with what it prints
	@$(call HALVES,-m "not slow")

test-all: .venv/ready ## run the slow tests too (ARGS="-m slow" for these alone)
	@$(call HALVES)

check: .venv/ready ## format, lint, types, then the rules the stages keep among themselves
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) pytest -q tests/test_rules.py

# A variable of the environment is the one way to hand more than a line to a program.
notebooks: export SCRIPT = $(RUN_NOTEBOOKS)
notebooks: .venv/ready ## run the notebooks again and store what they print
	@.venv/bin/python -c "$$SCRIPT" $(NOTEBOOKS)
	@$(RUN) stages tour --picture notebooks/staircase.svg

format: .venv/ready ## format the code and apply the safe fixes
	@$(RUN) ruff check --fix-only .
	@$(RUN) ruff format .

constraints: ## pin the newest releases in constraints.txt (then: make check test-all)
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	python3.11 -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip --disable-pip-version-check install --quiet '.[dev,postgres]' && \
	{ grep '^#' constraints.txt; "$$scratch/bin/python" -m pip freeze --exclude llm-streaming-stages; } \
	    > "$$scratch/new" && cp "$$scratch/new" constraints.txt

clean: ## remove .venv and the caches; work/ is yours and stays
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	@find . -path ./work -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +


# --- .venv ---------------------------------------------------------------------------------------------------

# The stamp is written last, so an install that was interrupted is done again. It holds where it was made and
# for which PYTHON=: a checkout that was moved has an editable install that points to the old place.
STALE := $(shell \
	{ read -r place; read -r python; } 2>/dev/null <.venv/ready; \
	asked='$(PYTHON)'; \
	[ "$$place" = "$$(pwd -P)" ] && [ "$${asked:-$$python}" = "$$python" ] && [ -x .venv/bin/python ] || echo yes)
ifneq ($(STALE),)
.PHONY: .venv/ready
endif

# A complete .venv is brought up to date (seconds), anything else is made anew.
.venv/ready: pyproject.toml constraints.txt
	@$(if $(STALE),$(MAKE_VENV),rm -f $@)
	@$(INSTALL)
	@{ pwd -P; echo '$(PYTHON)'; } > $@

WANTED := -c constraints.txt -e '.[dev,postgres]'

# uv where there is one, since it is several times as fast. It takes the interpreter that .venv has and fetches none
# of its own. pip comes with it: without, `pip install` in an active .venv would be that of another Python.
BY_UV = UV_PYTHON_DOWNLOADS=never uv pip install --quiet --python .venv/bin/python --compile-bytecode $(WANTED) pip

# The pip of Python 3.11 needs three times as long as pip 26 to find out what fits together. Bytecode on all cores,
# which pip does on one; a file that is no program for this Python (a template, say) is none of our business.
PIP = $(RUN) pip --disable-pip-version-check install --quiet
BY_PIP = \
	{ $(RUN) pip --version >/dev/null 2>&1 || $(RUN) ensurepip --default-pip >/dev/null; } && \
	{ $(PIP) 'pip>=26' || echo 'Going on with the pip that is there, which is slower.'; } && \
	$(PIP) --no-compile $(WANTED) && \
	{ $(RUN) compileall -qq -j 0 .venv/lib || :; }

# Something moves while the installer is quiet. It ends with the shell that started it, however that one ends: a
# process in the background does not hear Ctrl-C. And uv that hears it ends like one that failed: no reason for pip.
CLOCK = \
	{ trap 'exit 0' TERM; s=0; while sleep 1 >/dev/null && kill -0 $$$$; do s=$$((s + 1)); \
	    if [ -t 1 ]; then printf '  %s s\r' $$s; elif [ $$((s % 10)) = 0 ]; then echo "  $$s s"; fi; \
	done; } 2>/dev/null & clock=$$!

INSTALL = \
	trap 'exit 130' INT; $(CLOCK); done=; \
	if command -v uv >/dev/null; then \
	    echo 'Installing into .venv with uv$(if $(STALE),: up to a minute this once) ...'; \
	    if $(BY_UV); then done=yes; else \
	        echo 'uv could not install the packages; what it said is above. Going on with pip.' >&2; fi; \
	fi; \
	if [ -z "$$done" ]; then \
	    echo 'Installing into .venv with pip$(if $(STALE),: one to three minutes this once) ...'; \
	    if $(BY_PIP); then done=yes; fi; \
	fi; \
	kill $$clock; \
	[ -n "$$done" ] || { \
	    echo 'The packages could not be installed; what pip said is above.'; \
	    echo 'Probably the network failed. Run the same command again: it starts from a new .venv.'; \
	    exit 1; } >&2

# Exits with 3 when too old, 4 when `python -m venv` with these options would fail. Even Python 2 can read it.
CAN_MAKE_VENV = import sys; sys.version_info < (3, 11) and sys.exit(3); \
	from importlib.util import find_spec; sys.argv[1:] or find_spec("ensurepip") or sys.exit(4)

MAKE_VENV = \
	asked='$(PYTHON)' tried= bare= options=; \
	if command -v uv >/dev/null; then options=--without-pip; fi; \
	if [ -n "$$asked" ]; then set -- "$$asked"; else set -- python3.11 python3.12 python3.13 python3; fi; \
	for python in "$$@"; do \
	    "$$python" -c '$(CAN_MAKE_VENV)' $$options 2>/dev/null; \
	    case $$? in \
	        0) exec "$$python" -m venv --clear $$options .venv ;; \
	        3) why='is older than 3.11' ;; \
	        4) why='has no ensurepip (Debian and Ubuntu package it apart)'; bare="$${bare:-$$python}" ;; \
	        *) why='does not run' ;; \
	    esac; \
	    tried="$${tried:+$$tried, }$$python $$why"; \
	done; \
	{ \
	    echo 'There is no Python here to make .venv with: it needs 3.11 or newer, and ensurepip.'; \
	    echo "Tried: $$tried."; \
	    if [ -n "$$bare" ]; then echo "Install what is missing, as root: apt install $$(basename "$$bare")-venv"; \
	    else echo 'Install Python 3.11 or newer, or say which one to use: make PYTHON=/path/to/python3'; fi; \
	} >&2; \
	exit 1


# --- make notebooks ------------------------------------------------------------------------------------------

# Only what a reader sees may change in the file, so that its diff shows what changed for the reader.
define RUN_NOTEBOOKS
import os
import pathlib
import sys
import tempfile

import nbclient
import nbformat

scratch = tempfile.TemporaryDirectory()
os.environ["STAGES_WORK"] = str(pathlib.Path(scratch.name, "work"))  # as in a new checkout

for path in map(pathlib.Path, sys.argv[1:]):
    print(path, flush=True)
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook,
        kernel_name="python3",  # of .venv, whichever one the notebook was saved with
        timeout=$(CELL_TIMEOUT),
        record_timing=False,  # the times of this run would be new in every run
        coalesce_streams=True,  # where the kernel flushed its output differs between runs
        extra_arguments=["--log-level=ERROR"],  # else each kernel warns that loopback is not encrypted
        resources={"metadata": {"path": path.parent}},  # the working directory that Jupyter and nbval use
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # JupyterLab stores times there when told to
    # Neither the version of Python nor the name of somebody's kernel.
    notebook.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    })
    nbformat.write(notebook, path)  # not reached when a cell fails: the file keeps its last good outputs
endef
