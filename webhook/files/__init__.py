"""Read API objects from files, as kubectl reads them: paths, documents, YAML and JSON."""
