"""Labels for cartridges, cases, seals and slots: ids that survive being typed, and sheets to print."""
