"""What every command returns: its rows as a table, and a summary that notebooks show."""

from cancernet_cli.core.results.base import Result as Result
from cancernet_cli.core.results.tables import figure_rows as figure_rows
from cancernet_cli.core.results.tables import read_table as read_table
from cancernet_cli.core.results.tables import table_of as table_of
