"""Parts that pages are made of: charts as SVG, pictures as data URLs. No script, no network."""
