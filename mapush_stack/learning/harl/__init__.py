"""HARL's own learners (PKU-MARL/HARL; Zhong et al., JMLR 25, 2024): `mapush train --learner harl`."""
