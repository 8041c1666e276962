"""Where Django's formats of a language are not what its readers expect."""
