"""What pages are made of: charts as SVG, pictures as data URLs, and the report of a run. No network."""
