"""The page that a person looks at: gather what there is, draw it, lay it out."""
