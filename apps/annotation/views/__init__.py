"""Pages of annotation: projects and what comes out of them, and the screens on which people answer."""
