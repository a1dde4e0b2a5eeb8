"""Pictures of results: heat map, overlay and mask, on one colour scale fixed by the threshold."""
