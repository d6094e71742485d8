"""Files for one slide: GeoJSON, heat map, probability map."""
