"""Tables and charts as Markdown, LaTeX, HTML and SVG."""
