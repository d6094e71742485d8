"""Files about one slide: heat map, GeoJSON, probability map."""
