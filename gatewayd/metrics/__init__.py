"""Numbers about ended requests, for Prometheus and for the admin page. No user and no path is a label.

Each process counts for itself, in memory that outlives it; what several have counted is added up where it is shown.
"""

from gatewayd.metrics.counting import Metrics
from gatewayd.metrics.families import DROPPED
from gatewayd.metrics.sheet import Sheet
from gatewayd.metrics.tally import Samples, Tally

__all__ = ["DROPPED", "Metrics", "Samples", "Sheet", "Tally"]
