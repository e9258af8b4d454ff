CREATE OR REPLACE VIEW mart.catalogue_versions
(
    number UInt32 COMMENT 'version of the catalogue, from 1',
    hash String COMMENT 'SHA-256 of its items: the same contracts give the same',
    since DateTime64(6, 'UTC') COMMENT 'taken into use',
    items UInt32 COMMENT 'how many items it has',
    document String COMMENT 'the items, JSON'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT number, hash, since, items, document
FROM store.catalogue_versions FINAL
COMMENT 'versions of the catalogue (目录版本)'
