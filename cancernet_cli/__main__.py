"""`python -m cancernet_cli`: the command `cancernet`, where the scripts of an environment are not on the path."""

from cancernet_cli.cli.app import main

if __name__ == "__main__":
    main()
