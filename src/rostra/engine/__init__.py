"""The ground floor: claims, statistics, trials, results, reports. Knows no method and no field."""
