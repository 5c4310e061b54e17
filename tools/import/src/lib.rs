//! Importers: models of other libraries to hedgerow ensembles.
