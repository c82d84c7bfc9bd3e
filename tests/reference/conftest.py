"""The scripts here are run by test_reference.py; pytest itself shall not import them."""

collect_ignore_glob = ["*.py"]
