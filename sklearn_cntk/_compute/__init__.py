"""From images to Gram matrices: jobs, tiles, parallel calls, and values already in a store."""
