"""CaptMachineDeployment: rolls a fleet of machines from one template to the next."""
