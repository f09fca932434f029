"""From images to Gram matrices: jobs, tiles, parallel calls, what a store holds already."""
