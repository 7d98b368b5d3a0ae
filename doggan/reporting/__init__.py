"""Pages about runs: the report of one, and several side by side."""

from doggan.reporting.compare import Compared, compare, write_comparison
from doggan.reporting.report import write_report

__all__ = ["Compared", "compare", "write_comparison", "write_report"]
