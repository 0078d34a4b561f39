"""Pages that open in a browser: what they hold, how it is drawn, and the file it is put into."""
