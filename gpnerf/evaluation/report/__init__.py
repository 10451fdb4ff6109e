"""The results of an evaluation as one page that needs nothing but a browser."""

from gpnerf.evaluation.report.comparisons import Comparison, worst_views
from gpnerf.evaluation.report.page import report_page

__all__ = ["Comparison", "report_page", "worst_views"]
