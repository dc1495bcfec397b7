"""The report page, reports/index.html: gather the results, draw them, lay them out."""
