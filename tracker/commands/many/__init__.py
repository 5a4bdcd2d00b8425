"""Commands for many movies: `track batch` and `track runs`."""
