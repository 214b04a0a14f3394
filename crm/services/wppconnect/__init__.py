"""Numbers behind a WPPConnect server: the life of their session, what it missed, who is who."""
