"""What running needs: regions, gathered reads, scratch memory, threads."""
