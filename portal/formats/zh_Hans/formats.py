"""Numbers as Chinese readers see them on screens: 3,000,000. Django groups by four, with nothing between."""

THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
