"""Ways around obstacles: layouts that can be solved, arrival times on a grid, and the team's next target."""
