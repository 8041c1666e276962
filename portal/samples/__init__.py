"""The sample content of a first start: data sets and the recipes that train on them."""
