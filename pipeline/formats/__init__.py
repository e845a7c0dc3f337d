"""Line formats: what columns a line has. One file per format."""
