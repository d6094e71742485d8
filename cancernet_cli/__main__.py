"""Run `cancernet` as `python -m cancernet_cli`, for environments whose scripts are not on the path."""

from cancernet_cli.cli.app import main

if __name__ == "__main__":
    main()
