"""How good the matcher is: labelled data, typed in many ways, counted and drawn. The only room that reads labels."""
